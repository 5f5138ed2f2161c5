"""The terminal front end `stui`: how does a person work with sessions and live images, by way of `client` alone?"""
