defmodule PhoenixApp.MixProject do
  use Mix.Project

  def project do
    [
      app: :phoenix_app,
      version: "0.1.0",
      elixir: "~> 1.15",
      start_permanent: Mix.env() == :prod,
      deps: deps()
    ]
  end

  def application do
    [
      mod: {PhoenixApp.Application, []},
      extra_applications: [:logger]
    ]
  end

  defp deps do
    [
      # Which release of Phoenix to run, as a requirement: "~> 1.7.0", "1.8.12".
      {:phoenix, System.get_env("PHOENIX_REQUIREMENT", "~> 1.8.0")},
      {:jason, "~> 1.2"},
      {:bandit, "~> 1.5"},
      {:plug_cowboy, "~> 2.7"}
    ]
  end
end
