"""The data plane's decisions: request bodies out, responses and streams in."""
