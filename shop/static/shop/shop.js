// What the pages of the shop do once they are there; without it all of them work.
