"""What can an operator do with a data folder? Check, repair, restore, export, import. Synchronous; no daemon needed."""
