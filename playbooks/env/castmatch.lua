-- CastMatch: PostgreSQL on RDS, primary in us-west-2, recovery in us-east-1.
-- The database password comes from DB_PASSWORD.
return {
  title = "CastMatch production",

  params = {
    primary_region = "us-west-2",
    dr_region = "us-east-1",
    primary = "castmatch-prod-primary",
    replica = "castmatch-xregion-replica",
    backup_retention = 7,
    backup_window = "03:00-04:00",

    db_name = "castmatch_production",
    db_user = "admin",
    rpo_table = "audit_logs",
    rpo_column = "created_at",
    checks = {
      { name = "There are users", sql = "select count(*) > 0 from users" },
      { name = "There are active castings",
        sql = "select count(*) > 0 from castings where status = 'active'" },
    },

    terraform_dir = "infrastructure/terraform/disaster-recovery",
    kube_context = "castmatch-dr-us-east-1",
    namespace = "production",
    manifests = { "k8s/production/" },
    deployments = { ["castmatch-api"] = 12 },

    zone = "Z123456789",
    record = "api.castmatch.com",
    record_type = "A",
    dns_target = "castmatch-dr-alb.us-east-1.elb.amazonaws.com",
    alias_zone = "Z35SXDOTRQ7X7K", -- load balancers of us-east-1
    set_identifier = "Primary",
  },

  targets = { rto = "1h", rpo = "15m" },
  limits = { regions = { "us-east-1" }, deletes = 5 },
}
