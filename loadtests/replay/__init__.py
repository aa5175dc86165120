"""Access logs become visits that can be made again: whole, at the pace of whoever made them, as many as a plan wants.

Read in this order: `log_lines` (one line), `reading` (whole logs, streamed), `rules` (what is replayed and what it is
called), `gathering` (lines into visits), `store` (visits on disk), `mix` (weights and how far chance reaches),
`choosing` (which visits are made), `preparing` (all of it, for one run). `made_log` writes logs whose truth is known.
"""
