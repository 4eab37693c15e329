DROP TABLE pay_agent_runs;
DROP TABLE pay_agent_secrets;
DROP TABLE pay_agents;
