"""The pages: what a store holds, for people with a browser. They read, and change nothing (extras `ui` and `server`).

    Pages(store, gate=...).routes()       # mounted by `asof serve`, and by `asof ui`

A page is a function: `pages.home.home(asked) -> Page`. The pages of groups and views are made of sections, each a small
module of `sections/` with a template of its own. Nothing is built, and nothing is fetched from elsewhere.
"""
