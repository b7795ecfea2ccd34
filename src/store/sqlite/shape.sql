-- What today's tables hold, asked of each without reading any.

SELECT id, folder, title, created_at_ms, updated_at_ms, runs, parent, parent_record, head_record, head_hash, writer, deleted
    FROM sessions LIMIT 0;
SELECT session, number, at_ms, kind, run, sequence, stored, body_hash, hash, body FROM records LIMIT 0;
SELECT hash, size, packed_hash, content FROM blobs LIMIT 0;
SELECT session, number, hash FROM uses LIMIT 0;
SELECT session, run, snapshot, finished, events, reserved, first_record, last_record, owner FROM runs LIMIT 0;
SELECT folder, session FROM active LIMIT 0;
SELECT id, pid, started, boot, heartbeat_ms FROM owners LIMIT 0;
