# The key-encryption key wraps one data key per session. Losing it loses every credential (docs/disaster-recovery.md), so
# a version that is destroyed by mistake can be called back for 30 days.
resource "google_kms_key_ring" "mooring" {
  project  = var.project
  name     = var.name
  location = var.region

  depends_on = [google_project_service.api]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key" "sessions" {
  name     = "sessions"
  key_ring = google_kms_key_ring.mooring.id
  purpose  = "ENCRYPT_DECRYPT"

  # A new version every 90 days seals new data keys; the old versions go on opening what they sealed.
  rotation_period            = "${90 * 24 * 60 * 60}s"
  destroy_scheduled_duration = "${30 * 24 * 60 * 60}s"

  lifecycle {
    prevent_destroy = true
  }
}
