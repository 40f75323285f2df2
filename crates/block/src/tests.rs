mod raw;
