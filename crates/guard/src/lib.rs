//! Defence at the edge: load shedding and limits as tower layers.
