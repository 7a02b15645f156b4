resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email == null ? 0 : 1

  project      = var.project
  display_name = "Mooring alerts"
  type         = "email"
  labels = {
    email_address = var.alert_email
  }

  depends_on = [google_project_service.api]
}

locals {
  _channels = google_monitoring_notification_channel.email[*].id
}

# One policy per signal, straight from the line: the mail then names the session, which a metric could not.
resource "google_monitoring_alert_policy" "signal" {
  for_each = local.signals

  project      = var.project
  display_name = "Mooring: ${each.value.title}"
  combiner     = "OR"
  severity     = each.value.severity == "CRITICAL" ? "CRITICAL" : each.value.severity == "ERROR" ? "ERROR" : "WARNING"

  conditions {
    display_name = each.value.title
    condition_matched_log {
      filter = "${local._of_mooring} AND ${each.value.filter}"
      label_extractors = {
        session = "EXTRACT(jsonPayload.sessionId)"
        tenant  = "EXTRACT(jsonPayload.tenant)"
        why     = "EXTRACT(jsonPayload.why)"
      }
    }
  }

  alert_strategy {
    auto_close = "${24 * 60 * 60}s"
    notification_rate_limit {
      period = "${15 * 60}s"
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value.means
  }

  notification_channels = local._channels

  depends_on = [google_project_service.api]
}

# Written in PromQL for two reasons: it also fires when the metric has never had a point, which a plain absence condition
# does not, and the check that the metric exists already can be switched off, which a first apply needs.
locals {
  _metric = { for name in ["runner_beats", "lease_margin_ms"] : name => "logging_googleapis_com:user_${local._prefix}_${name}" }

  _promql = {
    no_heartbeat = {
      title    = "No runner sends a heartbeat"
      severity = "CRITICAL"
      query    = "(sum(increase(${local._metric.runner_beats}[5m])) or vector(0)) < 1"
      duration = "120s"
      means    = "No runner has logged its heartbeat for five minutes: nobody holds the sockets. Look at the pool's revisions and at its last lines; if a deploy is on, roll it back (docs/upgrade-rollback.md)."
    }
    lease_margin = {
      title    = "Runners renew their lease late"
      severity = "WARNING"
      query    = "histogram_quantile(0.05, sum by (le) (increase(${local._metric.lease_margin_ms}_bucket[15m]))) < 1500"
      duration = "300s"
      means    = "One renewal in twenty leaves less than 1.5 s of its time: the store answers slowly, or the runner has too little CPU. Once nothing is left, a runner drops its sockets."
    }
  }
}

resource "google_monitoring_alert_policy" "fleet" {
  for_each = local._promql

  project      = var.project
  display_name = "Mooring: ${each.value.title}"
  combiner     = "OR"
  severity     = each.value.severity

  conditions {
    display_name = each.value.title
    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = each.value.duration
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  alert_strategy {
    auto_close = "${24 * 60 * 60}s"
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value.means
  }

  notification_channels = local._channels

  depends_on = [google_logging_metric.runner_beats, google_logging_metric.distribution]
}
