//! Address to place, place to regions by distance, as a compiled prefix table.
