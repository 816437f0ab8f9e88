"""Image values, and labels made from them."""
