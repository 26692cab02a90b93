"""What the line is held against: goals, cost, comparisons of periods, audits by slice, and the report that shows them."""
