"""What is measured: one module for each way to call, and the list of them.

A client is a class made with the server's URL (an async one in its loop). It has of these what its cases ask, as
coroutines or as plain methods that any thread may call:

=========================  ===================================================================================
``unary()``                generates a text and returns it
``stream(slug)``           reads a stream to its end; returns the text of each event
``first()``                reads the short stream to its end; returns when its first event came (``perf_counter``)
``embed()``                embeds the texts; returns the vectors
``ensure(project)``        ensures one workload that is as it should be; returns its slug
``ensure_all(project)``    ensures 200 of them (in ``empty``: creates them); returns how many
``close()``                ends everything
=========================  ===================================================================================

What comes back is checked by the driver, the same way for all.
"""
