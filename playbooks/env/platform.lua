-- The data platform: primary in us-east-1, recovery in us-west-2.
-- The database password comes from DB_PASSWORD.
return {
  title = "Platform production",

  params = {
    primary_region = "us-east-1",
    dr_region = "us-west-2",
    primary = "platform-prod",
    replica = "platform-prod-replica-dr",

    db_name = "platform",
    db_user = "platform",
    rpo_table = "data_points",
    rpo_column = "created_at",
    checks = {
      { name = "Data points of the last day are there",
        sql = "select count(*) > 0 from data_points where created_at > now() - interval '1 day'" },
      { name = "Audit logs are there", sql = "select count(*) > 0 from audit_logs" },
    },

    eks_cluster = "platform-prod-dr",
    namespace = "platform-prod",
    helm_release = "platform",
    helm_chart = "./helm-charts/platform",
    helm_values = { "./helm-charts/platform/values-dr.yaml" },

    zone = "Z1234567890ABC",
    record = "api.platform.example.com",
  },

  targets = { rto = "4h", rpo = "1h" },
  limits = { regions = { "us-west-2" }, deletes = 5 },
}
