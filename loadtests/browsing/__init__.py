"""What a browser does for a visitor: connections, answers, cookies, a cache, what pages bring."""
