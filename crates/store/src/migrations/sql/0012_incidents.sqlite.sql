-- What was recognised in one request, as JSON: kind of attack, points, rules, numbers. No value of the request.
ALTER TABLE security_events ADD COLUMN details TEXT;
