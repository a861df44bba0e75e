"""The clients that are measured: one module for each, and the catalogue of them.

A client is a class that is made with the server's URL, an async one inside its loop. It has the
methods that its cases need, as coroutines, or as plain methods that any thread may call:

========================  =====================================================================
``unary()``               generates a text and returns it
``stream(slug)``          reads a stream to its end; returns the text of each event
``first()``               reads the short stream to its end; returns the time of its first event
                          (``perf_counter``)
``embed()``               embeds the texts; returns the vectors
``ensure(project)``       ensures one workload that exists unchanged; returns its slug
``ensure_all(project)``   ensures 200 of them (in ``empty``: creates them); returns how many
``close()``               closes the client
========================  =====================================================================

The driver checks the results, in the same way for all clients.
"""
