"""What makes a call safe to repeat that has no mechanism of its own: the first answer is kept and given again."""
