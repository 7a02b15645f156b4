locals {
  _control_host = trimprefix(google_cloud_run_v2_service.control.uri, "https://")
}

# Asked from outside, since a service that nobody can reach logs nothing. Every five minutes wakes a sleeping service for
# some milliseconds, which docs/costs.md counts. With IAM in front an outsider can only be refused, so there is no check.
resource "google_monitoring_uptime_check_config" "control" {
  count = var.control_access == "keys" ? 1 : 0

  project      = var.project
  display_name = "${var.name} control"
  period       = "300s"
  timeout      = "10s"

  http_check {
    path         = "/health/live"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project
      host       = local._control_host
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "control_down" {
  count = var.control_access == "keys" ? 1 : 0

  project      = var.project
  display_name = "Mooring: The control API does not answer"
  combiner     = "OR"
  severity     = "ERROR"

  conditions {
    display_name = "The control API does not answer"
    condition_threshold {
      filter          = "resource.type=\"uptime_url\" AND metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.label.check_id=\"${google_monitoring_uptime_check_config.control[0].uptime_check_id}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "300s"

      # One place that can't reach it is that place's trouble; two are ours.
      aggregations {
        alignment_period     = "600s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
      trigger {
        count = 1
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Sessions go on running: runners need no control service. Wants can't be changed and nobody sees a QR until it answers again."
  }

  notification_channels = local._channels
}
