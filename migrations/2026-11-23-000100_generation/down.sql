DROP TRIGGER api_keys_generation ON api_keys;
DROP TRIGGER organizations_generation ON organizations;
DROP TRIGGER policies_generation ON policies;
DROP FUNCTION begin_generation();
DROP TABLE generation;
