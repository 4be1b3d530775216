"""What is judged: models, collections, rankings, and what is made of them."""
