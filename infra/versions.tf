terraform {
  # 1.11 brings write-only arguments, which keep the bootstrap key out of the state.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  # The bucket is named on the command line (-backend-config=bucket=…), since a backend can't read variables.
  backend "gcs" {
    prefix = "mooring"
  }
}

provider "google" {
  project = var.project
  region  = var.region
}
