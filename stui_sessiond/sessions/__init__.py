"""What a session may become, who hears of it, and the one who decides: the SessionManager."""
