"""What both planes share: the listening socket, the checks of a request, and error responses."""
