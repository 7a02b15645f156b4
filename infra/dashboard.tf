# One page for the question "is the fleet well?": runners and sessions on top, trouble below, the two programs last.
locals {
  _log_metric = "metric.type=\"logging.googleapis.com/user/${local._prefix}_%s\""

  _charts = [
    { title = "Runner heartbeats a minute", filter = format(local._log_metric, "runner_beats"), align = "ALIGN_RATE", reduce = "REDUCE_SUM" },
    { title = "Sessions held by a runner (95th percentile)", filter = format(local._log_metric, "sessions_held"), align = "ALIGN_PERCENTILE_95", reduce = "REDUCE_MAX" },
    { title = "Time to connect (95th percentile, ms)", filter = format(local._log_metric, "connect_ms"), align = "ALIGN_PERCENTILE_95", reduce = "REDUCE_MAX" },
    { title = "Lease margin (5th percentile, ms)", filter = format(local._log_metric, "lease_margin_ms"), align = "ALIGN_PERCENTILE_05", reduce = "REDUCE_MIN" },
    { title = "Runner CPU", filter = "resource.type=\"cloud_run_worker_pool\" AND metric.type=\"run.googleapis.com/container/cpu/utilizations\"", align = "ALIGN_PERCENTILE_99", reduce = "REDUCE_MAX" },
    { title = "Runner memory", filter = "resource.type=\"cloud_run_worker_pool\" AND metric.type=\"run.googleapis.com/container/memory/utilizations\"", align = "ALIGN_PERCENTILE_99", reduce = "REDUCE_MAX" },
    { title = "Control requests a second", filter = "resource.type=\"cloud_run_revision\" AND metric.type=\"run.googleapis.com/request_count\"", align = "ALIGN_RATE", reduce = "REDUCE_SUM" },
    { title = "Control latency (95th percentile, ms)", filter = "resource.type=\"cloud_run_revision\" AND metric.type=\"run.googleapis.com/request_latencies\"", align = "ALIGN_PERCENTILE_95", reduce = "REDUCE_MAX" },
  ]

  _trouble = {
    title = "Trouble, lines a minute"
    xyChart = {
      dataSets = [
        for name, signal in local.signals : {
          legendTemplate = signal.title
          plotType       = "STACKED_BAR"
          timeSeriesQuery = {
            timeSeriesFilter = {
              filter      = format(local._log_metric, name)
              aggregation = { alignmentPeriod = "60s", perSeriesAligner = "ALIGN_DELTA", crossSeriesReducer = "REDUCE_SUM" }
            }
          }
        }
      ]
    }
  }

  _widgets = [
    for chart in local._charts : {
      title = chart.title
      xyChart = {
        dataSets = [{
          plotType = "LINE"
          timeSeriesQuery = {
            timeSeriesFilter = {
              filter               = chart.filter
              aggregation          = { alignmentPeriod = "60s", perSeriesAligner = chart.align, crossSeriesReducer = chart.reduce }
              secondaryAggregation = { alignmentPeriod = "60s" }
            }
            unitOverride = "1"
          }
        }]
      }
    }
  ]
}

resource "google_monitoring_dashboard" "fleet" {
  project = var.project

  dashboard_json = jsonencode({
    displayName = "Mooring (${var.name})"
    mosaicLayout = {
      columns = 48
      tiles = concat(
        [{ xPos = 0, yPos = 0, width = 48, height = 12, widget = local._trouble }],
        [
          for place, widget in local._widgets :
          { xPos = (place % 2) * 24, yPos = 12 + floor(place / 2) * 12, width = 24, height = 12, widget = widget }
        ],
      )
    }
  })

  depends_on = [google_logging_metric.signal, google_logging_metric.runner_beats, google_logging_metric.distribution]
}
