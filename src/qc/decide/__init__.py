"""Score and recipe to verdict, and the halt policy: pure functions."""
