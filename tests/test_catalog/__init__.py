"""What is sold, how lists are kept, and the tasks that keep them."""
