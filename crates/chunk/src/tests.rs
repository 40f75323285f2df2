mod cutting;
