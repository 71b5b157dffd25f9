{
  description = "ModelGrid: a compiler for GPU hosts";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      each = function: nixpkgs.lib.genAttrs systems (system: function nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (pkgs: rec {
        modelgrid = pkgs.python3Packages.buildPythonApplication {
          pname = "modelgrid";
          # the one place that names the version is modelgrid/__init__.py
          version = builtins.head (
            builtins.match ".*__version__ = \"([^\"]+)\".*" (builtins.readFile ./modelgrid/__init__.py)
          );
          pyproject = true;
          src = self;
          build-system = [ pkgs.python3Packages.hatchling ];
          dependencies =
            with pkgs.python3Packages;
            [
              pydantic
              cattrs
              jinja2
              pyyaml
              granian
              httpx
              msgspec
              nvidia-ml-py
              uvloop
            ]
            ++ pkgs.lib.optional pkgs.stdenv.isLinux pystemd;
          nativeCheckInputs = with pkgs.python3Packages; [
            pytestCheckHook
            gguf
            hypothesis
            jsonschema
            openai
            pytest-xdist
            safetensors
          ];
          disabledTestMarks = [ "tools" "machine" "local" ];
          meta.mainProgram = "modelgrid";
        };
        default = modelgrid;
      });

      devShells = each (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.system}.modelgrid ];
          packages = with pkgs; [ ruff mypy shellcheck python3Packages.build python3Packages.import-linter ];
        };
      });

      checks = each (pkgs: { inherit (self.packages.${pkgs.system}) modelgrid; });
    };
}
