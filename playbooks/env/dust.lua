-- Dust, production: PostgreSQL on RDS, two ECS services, AWS Backup.
-- The database password comes from DB_PASSWORD, the Slack webhook from SLACK_WEBHOOK.
return {
  title = "Dust production",

  params = {
    region = "us-east-1",
    database = "dust-db-prod",
    vault = "dust-backup-vault-prod",
    cluster = "dust-prod",
    services = { "dust-core-api-prod", "dust-mcp-server-prod" },
    health_url = "https://api.prod.dust.example.com/health",
    channels = { { kind = "slack", name = "incident channel", url = { env = "SLACK_WEBHOOK" } } },
  },

  limits = { regions = { "us-east-1" }, deletes = 5 },
}
