"""How the documentation becomes a site; `mkdocs.yml` names it, `make docs` runs it."""
