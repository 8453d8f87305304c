"""What compare.py is made of: what two inventories declare, what their hosts are, and where they differ."""
