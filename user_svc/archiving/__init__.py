"""Taking projects out of use, with all that ends by it."""
