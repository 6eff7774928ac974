"""What is too much, judged: the same for operators, sensors and triggers."""
