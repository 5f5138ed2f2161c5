"""Where pipes meet commands: peers, and the listeners that accept them."""
