"""Is what the documentation says true, and does its site hold together?"""
