"""What both planes share: who may call, where the platform listens, and errors in each plane's shape."""
