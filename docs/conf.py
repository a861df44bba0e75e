"""Sphinx: these pages as HTML. ``sphinx-build -W -b html docs docs/_build``."""

from __future__ import annotations

import inferencekey

project = "inferencekey"
author = "The inferencekey founders"
project_copyright = "The inferencekey founders"
version = release = inferencekey.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"inferencekey {release}"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

napoleon_numpy_docstring = False
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "inherited-members": "BaseException, object, str"}
