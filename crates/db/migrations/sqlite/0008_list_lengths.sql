-- How many rows the long lists have when nothing is filtered: counting them for every page took longer the longer they were.
CREATE TABLE list_length (
    project_id TEXT NOT NULL,
    list TEXT NOT NULL,
    length INTEGER NOT NULL
) STRICT;
CREATE INDEX list_length_of_list ON list_length (project_id, list);
INSERT INTO list_length SELECT project_id, 'vault', COUNT(*) FROM vault GROUP BY project_id;
INSERT INTO list_length SELECT project_id, 'backup', COUNT(*) FROM backup WHERE parent_id IS NULL GROUP BY project_id;
INSERT INTO list_length SELECT project_id, 'operation_log', COUNT(*) FROM operation_log GROUP BY project_id;

CREATE TRIGGER vault_added AFTER INSERT ON vault BEGIN
    INSERT INTO list_length SELECT NEW.project_id, 'vault', 0
        WHERE NOT EXISTS (SELECT 1 FROM list_length WHERE project_id = NEW.project_id AND list = 'vault');
    UPDATE list_length SET length = length + 1 WHERE project_id = NEW.project_id AND list = 'vault';
END;
CREATE TRIGGER vault_removed AFTER DELETE ON vault BEGIN
    UPDATE list_length SET length = length - 1 WHERE project_id = OLD.project_id AND list = 'vault';
END;
CREATE TRIGGER backup_added AFTER INSERT ON backup WHEN NEW.parent_id IS NULL BEGIN
    INSERT INTO list_length SELECT NEW.project_id, 'backup', 0
        WHERE NOT EXISTS (SELECT 1 FROM list_length WHERE project_id = NEW.project_id AND list = 'backup');
    UPDATE list_length SET length = length + 1 WHERE project_id = NEW.project_id AND list = 'backup';
END;
CREATE TRIGGER backup_removed AFTER DELETE ON backup WHEN OLD.parent_id IS NULL BEGIN
    UPDATE list_length SET length = length - 1 WHERE project_id = OLD.project_id AND list = 'backup';
END;
CREATE TRIGGER operation_log_added AFTER INSERT ON operation_log BEGIN
    INSERT INTO list_length SELECT NEW.project_id, 'operation_log', 0
        WHERE NOT EXISTS (SELECT 1 FROM list_length WHERE project_id = NEW.project_id AND list = 'operation_log');
    UPDATE list_length SET length = length + 1 WHERE project_id = NEW.project_id AND list = 'operation_log';
END;
CREATE TRIGGER operation_log_removed AFTER DELETE ON operation_log BEGIN
    UPDATE list_length SET length = length - 1 WHERE project_id = OLD.project_id AND list = 'operation_log';
END;

-- Who waits for tasks to end, or looks for those that failed, asks for one state.
CREATE INDEX operation_log_of_status ON operation_log (project_id, status, created_at DESC, id DESC);
