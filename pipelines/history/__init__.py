"""What past runs left: their summaries, the versions that they made, and what made each of them."""
