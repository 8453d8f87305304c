"""What promote.py is made of: the stages of its story, and how two environments look side by side."""
