-- Ids of notices are in the order of time.
DROP INDEX notices_by_time;
