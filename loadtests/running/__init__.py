"""The processes of a run: who conducts, who drives, what they say to each other and what they leave."""
