"""One canonical spelling for each kind of name, applied on writing and on every look-up."""
