# Metrics are taken from log lines: nothing to run beside the programs, and what an alert counts can be read as a line.
# signals.json is the one list of them; docs/logs.md explains the fields.
locals {
  signals = { for signal in jsondecode(file("${path.module}/signals.json")) : signal.name => signal }

  # A runner may be a pool or, as the alternative, a service; its lines are the same.
  _of_mooring = "resource.type=(\"cloud_run_worker_pool\" OR \"cloud_run_revision\")"

  _prefix = replace(var.name, "-", "_")
}

resource "google_logging_metric" "signal" {
  for_each = local.signals

  project     = var.project
  name        = "${local._prefix}_${each.key}"
  description = each.value.title
  filter      = "${local._of_mooring} AND ${each.value.filter}"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
    labels {
      key         = "tenant"
      value_type  = "STRING"
      description = "Tenant of the session. Sessions are no label: each would be a time series of its own for ever."
    }
  }

  label_extractors = {
    tenant = "EXTRACT(jsonPayload.tenant)"
  }

  depends_on = [google_project_service.api]
}

# The heartbeat: each runner logs one such line a minute. Its absence is the one failure that writes no line of its own.
resource "google_logging_metric" "runner_beats" {
  project     = var.project
  name        = "${local._prefix}_runner_beats"
  description = "Heartbeat lines of the runners."
  filter      = "${local._of_mooring} AND jsonPayload.component=\"runner\" AND jsonPayload.message=\"runner beat\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [google_project_service.api]
}

locals {
  _distributions = {
    lease_margin_ms = {
      description = "What was left of a runner's time to renew when it renewed."
      filter      = "jsonPayload.message=\"runner beat\" AND jsonPayload.leaseMarginMs>=0"
      value       = "EXTRACT(jsonPayload.leaseMarginMs)"
      unit        = "ms"
    }
    sessions_held = {
      description = "Sessions that a runner holds."
      filter      = "jsonPayload.message=\"runner beat\" AND jsonPayload.held>=0"
      value       = "EXTRACT(jsonPayload.held)"
      unit        = "1"
    }
    connect_ms = {
      description = "Time from a runner's decision to open a session to the session being connected."
      filter      = "jsonPayload.phase=\"connected\" AND jsonPayload.durationMs>=0"
      value       = "EXTRACT(jsonPayload.durationMs)"
      unit        = "ms"
    }
  }
}

resource "google_logging_metric" "distribution" {
  for_each = local._distributions

  project         = var.project
  name            = "${local._prefix}_${each.key}"
  description     = each.value.description
  filter          = "${local._of_mooring} AND jsonPayload.component=\"runner\" AND ${each.value.filter}"
  value_extractor = each.value.value

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 1.4
      scale              = 1
    }
  }

  depends_on = [google_project_service.api]
}
