"""Who may be driven, and who stands beside."""
