-- How many rows the long lists have when nothing is filtered, as the sum of what was added and removed: counting them for
-- every page took longer the longer they were. A row that all writers of a project change would make them wait for one
-- another, so each writes a row of its own, and now and then what others have committed is folded into one.
CREATE TABLE list_length (
    project_id TEXT NOT NULL,
    list TEXT NOT NULL,
    length BIGINT NOT NULL
);
CREATE INDEX list_length_of_list ON list_length (project_id, list);
CREATE SEQUENCE list_length_turn;
INSERT INTO list_length (project_id, list, length)
    SELECT project_id, 'vault', COUNT(*) FROM vault GROUP BY project_id;
INSERT INTO list_length (project_id, list, length)
    SELECT project_id, 'backup', COUNT(*) FROM backup WHERE parent_id IS NULL GROUP BY project_id;
INSERT INTO list_length (project_id, list, length)
    SELECT project_id, 'operation_log', COUNT(*) FROM operation_log GROUP BY project_id;

-- Rows that somebody else is folding are left to them: nobody waits, and no two can wait for each other.
CREATE FUNCTION change_list_length(of_project TEXT, of_list TEXT, change BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO list_length (project_id, list, length) VALUES (of_project, of_list, change);
    IF nextval('list_length_turn') % 64 = 0 THEN
        WITH folded AS (
            DELETE FROM list_length WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM list_length WHERE project_id = of_project AND list = of_list FOR UPDATE SKIP LOCKED
            )) RETURNING length
        )
        INSERT INTO list_length (project_id, list, length)
            SELECT of_project, of_list, SUM(length) FROM folded HAVING COUNT(*) > 0;
    END IF;
END $$;

CREATE FUNCTION listed_row_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_list_length(NEW.project_id, TG_TABLE_NAME, 1);
    RETURN NULL;
END $$;
CREATE FUNCTION listed_row_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_list_length(OLD.project_id, TG_TABLE_NAME, -1);
    RETURN NULL;
END $$;

CREATE TRIGGER vault_added AFTER INSERT ON vault FOR EACH ROW EXECUTE FUNCTION listed_row_added();
CREATE TRIGGER vault_removed AFTER DELETE ON vault FOR EACH ROW EXECUTE FUNCTION listed_row_removed();
CREATE TRIGGER backup_added AFTER INSERT ON backup FOR EACH ROW
    WHEN (NEW.parent_id IS NULL) EXECUTE FUNCTION listed_row_added();
CREATE TRIGGER backup_removed AFTER DELETE ON backup FOR EACH ROW
    WHEN (OLD.parent_id IS NULL) EXECUTE FUNCTION listed_row_removed();
CREATE TRIGGER operation_log_added AFTER INSERT ON operation_log FOR EACH ROW EXECUTE FUNCTION listed_row_added();
CREATE TRIGGER operation_log_removed AFTER DELETE ON operation_log FOR EACH ROW EXECUTE FUNCTION listed_row_removed();

-- Who waits for tasks to end, or looks for those that failed, asks for one state.
CREATE INDEX operation_log_of_status ON operation_log (project_id, status, created_at DESC, id DESC);
